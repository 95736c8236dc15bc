"""Living bridges, bundles and interfaces."""
