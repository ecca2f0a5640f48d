"""What is captured when something fails, before anything is cleaned up."""
