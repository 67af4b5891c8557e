package sandbox

import (
	"archive/zip"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plusone/scripts/dev/private"
)

// mirror serves an archive like Maven Central's, made of the programs in bin.
func mirror(t *testing.T, bin string) string {
	t.Helper()
	pack := exec.CommandContext(t.Context(), "tar", "--dereference", "-cJf", "-", "-C", filepath.Dir(bin), "bin/initdb", "bin/postgres")
	pack.Env = append(os.Environ(), "XZ_OPT=-0")
	txz, err := pack.Output()
	if err != nil {
		t.Skipf("tar and xz are needed to make an archive: %v", err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r)
			return
		}
		z := zip.NewWriter(w)
		if f, err := z.Create("postgres-linux-x86_64.txz"); err == nil {
			_, _ = f.Write(txz)
		}
		_ = z.Close()
	}))
	t.Cleanup(func() {
		s.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // embedded-postgres uses it
	})
	return s.URL
}

func TestADownloadBringsThePrograms(t *testing.T) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		t.Skip("there is no Debian Postgres to make an archive of")
	}
	dir := t.TempDir()
	bin, err := download(dir, Options{Yes: true, Mirror: mirror(t, bins[0])}, private.ErrMissing)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "postgres ") {
		t.Errorf("postgres --version: %s, %v", out, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "postgres-try-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestADownloadThatFailsNamesThePackageInstead(t *testing.T) {
	empty := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(func() {
		empty.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	_, err := download(t.TempDir(), Options{Yes: true, Mirror: empty.URL}, private.ErrMissing)
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") || errors.Is(err, ErrNotAgreed) {
		t.Errorf("error: %v", err)
	}
}
