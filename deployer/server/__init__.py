"""What a Prefect server holds, and how it comes to hold a manifest."""
