// Package settings says what a person can set, and where from.
//
//	flag  >  PLUSONE_* variable  >  --config file  >  default
//
// One name in three spellings: --internal-listen, PLUSONE_INTERNAL_LISTEN, and
// the key internal-listen in the file, which is YAML. An empty variable is an
// unset one. A key in the file that no command knows is an error; one that
// another command knows is not, so all commands can share a file.
//
// Commands embed the groups that they read. Nothing else in plusone reads the
// command line, the environment or a settings file.
package settings
