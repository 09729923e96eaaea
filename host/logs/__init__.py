"""What workers and their flows log with. They find its modules by PYTHONPATH, under names that no flow takes."""
