"""What Python calls: runs of one's own trainers with all that the command line gives, and run folders as objects."""
