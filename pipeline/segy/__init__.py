"""SEG-Y in and out: headers as tables, a tolerant reader, a writer, and a description of a file."""
