package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the table of who may import which of our own packages: package →
// packages, both as paths within the module; a trailing /... is everything
// below. What is not named imports none of ours.
var mayImport = map[string][]string{
	"hotpath/counter":                 {"hotpath/like", "scripts"},
	"hotpath/api":                     {"hotpath/like", "hotpath/ui"},
	"tasks":                           {"hotpath/like", "hotpath/counter", "tasks/ledger"},
	"tasks/ledger":                    {"hotpath/like", "migrations"},
	"tasks/barrier/...":               {"tasks/barrier"},
	"tasks/barrier/example":           {"tasks/barrier/..."},
	"tasks/saga":                      {"hotpath/like", "hotpath/counter", "tasks", "tasks/ledger"},
	"tasks/operator":                  {"hotpath/like", "hotpath/counter", "tasks/ledger"},
	"tasks/transfer":                  {"hotpath/like", "hotpath/counter", "tasks/ledger"},
	"reconcile":                       {"hotpath/like", "hotpath/counter", "tasks/ledger"},
	"cmd/...":                         {"hotpath/...", "tasks/...", "reconcile", "migrations", "scripts/...", "cmd/internal/..."},
	"cmd/chaos/...":                   {"cmd/chaos/..."},
	"cmd/bench/...":                   {"cmd/bench/..."},
	"scripts/dev/private/privatetest": {"scripts/dev/private"},
}

// testsMayImport is what the tests of a package may import beyond mayImport.
// Every test may use the private servers.
var testsMayImport = map[string][]string{
	"hotpath/counter": {"tasks/ledger", "migrations"},
	"tasks":           {"migrations", "scripts"},
	"reconcile":       {"migrations", "scripts", "tasks"},
	"tasks/barrier":   {"tasks/barrier/..."},
	"tasks/saga":      {"tasks/barrier/..."},
	"tasks/operator":  {"tasks"},
	"tasks/transfer":  {"tasks", "reconcile"},
}

// neverImport keeps clients of the stores out of the packages that must not
// know them: package → prefixes of import paths.
var neverImport = map[string][]string{
	"hotpath/api":                {"github.com/redis/", "github.com/jackc/", "github.com/hibiken/"},
	"tasks/barrier":              {"github.com/"},
	"tasks/barrier/pgbarrier":    {"github.com/redis/"},
	"tasks/barrier/redisbarrier": {"github.com/jackc/"},
}

const (
	module      = "plusone/"
	privatePkg  = "scripts/dev/private"
	privateTest = "scripts/dev/private/privatetest"
)

func TestPackagesImportWhatTheDesignAllows(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(rel, ".go") {
			return nil
		}
		seen++
		for _, imported := range imports(t, path) {
			if why := refuse(filepath.ToSlash(rel), imported); why != "" {
				t.Errorf("%s imports %s: %s", rel, imported, why)
			}
		}
		return nil
	})
	if err != nil || seen < 20 {
		t.Fatalf("looked at %d files: %v", seen, err)
	}
}

func imports(t *testing.T, path string) []string {
	t.Helper()
	src, err := os.ReadFile(path) // read here, so that the test cache sees changes
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// refuse says why file, a path within the module, must not import what it does.
func refuse(file, imported string) string {
	pkg, isTest := file[:strings.LastIndex(file, "/")], strings.HasSuffix(file, "_test.go")
	for _, prefix := range neverImport[pkg] {
		if strings.HasPrefix(imported, prefix) && !isTest {
			return "this package knows no store's client"
		}
	}
	own, ok := strings.CutPrefix(imported, module)
	switch {
	case !ok:
		return ""
	case own == pkg && isTest: // a test from outside its package
		return ""
	case own == privateTest && !isTest:
		return "it is for tests only"
	case own == privateTest, own == privatePkg && isTest:
		return ""
	case allows(mayImport, pkg, own), isTest && allows(testsMayImport, pkg, own):
		return ""
	}
	return "the table of imports does not allow it"
}

// allows tells whether table lets pkg import own.
func allows(table map[string][]string, pkg, own string) bool {
	for who, what := range table {
		if !within(pkg, who) {
			continue
		}
		if slices.ContainsFunc(what, func(pattern string) bool { return within(own, pattern) }) {
			return true
		}
	}
	return false
}

func within(pkg, pattern string) bool {
	dir, deep := strings.CutSuffix(pattern, "/...")
	return pkg == dir || deep && strings.HasPrefix(pkg, dir+"/")
}

func TestTheTableOfImportsRefusesWhatItShould(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		ok             bool
	}{
		{"hotpath/like/x.go", "strings", true},
		{"hotpath/like/x.go", "plusone/hotpath/counter", false},
		{"hotpath/api/x.go", "plusone/hotpath/counter", false},
		{"hotpath/api/x.go", "github.com/redis/go-redis/v9", false},
		{"hotpath/api/x_test.go", "github.com/redis/go-redis/v9", true},
		{"hotpath/counter/x.go", "plusone/tasks/ledger", false},
		{"tasks/ledger/x.go", "plusone/hotpath/counter", false},
		{"reconcile/x.go", "plusone/tasks", false},
		{"tasks/x.go", "plusone/cmd/internal/stores", false},
		{"tasks/x.go", "plusone/scripts/dev/private/privatetest", false},
		{"tasks/x_test.go", "plusone/scripts/dev/private/privatetest", true},
		{"cmd/internal/sandbox/x.go", "plusone/scripts/dev/private", true},
		{"cmd/plusone/x.go", "plusone/scripts/dev/private/privatetest", false},
		{"hotpath/like/x_test.go", "plusone/hotpath/like", true},
		{"cmd/chaos/load/x.go", "plusone/cmd/chaos/model", true},
		{"cmd/plusone/x.go", "plusone/cmd/chaos/model", false},
		{"scripts/scripts.go", "plusone/hotpath/like", false},
	} {
		if why := refuse(c.file, c.imported); (why == "") != c.ok {
			t.Errorf("%s imports %s: %q", c.file, c.imported, why)
		}
	}
}
