// Package weights reads and writes the tensors of models in the safetensors
// format (huggingface.co/docs/safetensors).
//
//	+----------+------------------+--------------------------------+
//	| uint64 n | n bytes of JSON  | data                           |
//	+----------+------------------+--------------------------------+
//	{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
//	 "__metadata__": {"key": "value", ...}}
//
// All numbers are little-endian. Offsets count from the start of the data; the
// JSON may be padded with spaces.
//
// Reading is strict, because a model file is input from elsewhere: the header
// must be valid UTF-8 and JSON with no name twice, of at most MaxHeader bytes;
// every dtype must be known; the bytes of a tensor must be those of its shape,
// in overflow-checked arithmetic; and the tensors must cover the data exactly,
// without gap or overlap. Anything else is a *FormatError before any tensor can
// be had. Nothing is allocated by a number in the file that was not checked
// against the file's size, and no file makes the package panic.
//
// A sharded model (model.safetensors.index.json and the files that it names,
// all in its directory) opens as one File.
//
// A File is read into memory, not mapped: a mapped file that somebody rewrites
// in place would change the vectors of an encoder whose fingerprint says that
// they are the same, and one that is cut short would end the process. Digest is
// that of the bytes that were read. Tensors share the File's memory. A File is
// safe for concurrent use, except that Close must come last.
package weights
