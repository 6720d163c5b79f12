// Package weights reads and writes the tensors of models in the safetensors
// format (huggingface.co/docs/safetensors), memory-mapped.
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
// A File maps its bytes where the system can map files and reads them into
// memory where it can't. Tensors of a File share its memory: they are gone
// after Close. While a File is open, its file must not be cut short by anybody:
// the system ends a process that touches mapped bytes that are no longer there.
// A File is safe for concurrent use, except that Close must come last.
package weights
