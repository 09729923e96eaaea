"""What all packages share, without a file or a server: errors, differences, the manifest, references."""
