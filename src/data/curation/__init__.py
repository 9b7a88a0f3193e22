"""A person looks at the masks in FiftyOne and tags the bad ones."""
