// Package settings says what a person can set, and where from.
//
//	flag  >  PLUSONE_* variable  >  --config file  >  default
//
// One name in three spellings: --internal-listen, PLUSONE_INTERNAL_LISTEN, and
// the key internal-listen in the file, which is YAML. An empty variable is an
// unset one. A key in the file that no command knows is an error; one that
// another command knows is not, so all commands can share a file.
//
// Parse binds a Table of what is in force, each value with its source and without
// what is secret, so that whatever runs can show it: a command's Run that has a
// settings.Table among its arguments gets it.
//
// Commands embed the groups that they read. Nothing else in plusone reads the
// command line, the environment or a settings file.
package settings
