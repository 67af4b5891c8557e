// Package migrations holds the ledger's schema: goose files, embedded, forward
// only. A released file is never changed; the next change is the next file.
package migrations

import "embed"

// FS holds the *.sql files, at its root.
//
//go:embed *.sql
var FS embed.FS
