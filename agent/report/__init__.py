"""What a person looks at afterwards: pictures and one page."""
