"""What a developer's commands are made of; nothing here is imported by the application."""
