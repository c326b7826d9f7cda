"""The child process that sees: frames come in and stay here, measures of faces go out, one JSON object a line."""
