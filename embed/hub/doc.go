// Package hub gets models from a Hugging Face compatible hub and keeps them as
// they came: only the files that an encoder reads, pinned to one commit, with
// the SHA-256 of each.
//
// # What a pull does
//
// The revision asked for (a branch, tag or commit) is resolved to its commit,
// and everything after names the commit. The files of the commit are listed
// with their sizes and, for large ones, their SHA-256 (the object id of Git
// LFS). Of these, the following are downloaded, and nothing else; code and
// pickles never are:
//
//	config.json  tokenizer.json  tokenizer_config.json  vocab.txt
//	special_tokens_map.json  modules.json
//	config_sentence_transformers.json  sentence_*_config.json
//	model.safetensors, or model.safetensors.index.json and the files it names
//	N_Module/{config.json,model.safetensors,tokenizer.json}   (1_Pooling, 2_Dense, ...)
//	README.md  LICENSE*  LICENCE*  NOTICE*
//
// Downloads go into a staging directory beside the models, and resume there
// after a cut connection, a full disk or a killed process. When all files are
// there and checked, the lock file is written, and the staging directory takes
// the model's name in one rename: a model that was half pulled is never seen
// under its name.
//
//	models/
//	  NAME/                   an installed model
//	    vecino-model.json     repository, revision, commit, licence, files
//	    config.json ...
//	  .pull-NAME@COMMIT/      staging: whole files, FILE.part and FILE.etag
//	  .replaced-NAME/         an older pull, for the moment of an update
//	  .vecino-pull.lock       held while a pull runs
//
// An installed model needs no network: pulling what is installed checks its
// files and asks nobody. A branch that has moved on the hub is followed only
// when an update is asked for.
//
// # What a hub can't do
//
// A hub is input from elsewhere. Its names are matched against the list above,
// its sizes bound what is read and stored, its redirects lead to https or back
// to the same host only, never take the token to another host, and never reach
// an address inside the operator's network (package egress). Its text is shown
// without control characters.
package hub
