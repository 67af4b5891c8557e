package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var files embed.FS

// assetsRoot is where they are; between it and the name stands a part of the file's
// hash, so that browsers may keep each for ever.
const assetsRoot = Root + "assets/"

// hashes are the files by name.
var hashes = func() map[string]string {
	all := map[string]string{}
	_ = fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error { // it is embedded
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		sum := sha256.Sum256(text)
		all[strings.TrimPrefix(name, "assets/")] = hex.EncodeToString(sum[:8])
		return err
	})
	return all
}()

// Asset is the path of a file for pages; anybody may load it.
func Asset(name string) string { return assetsRoot + hashes[name] + "/" + name }

// assets answers the files to everybody: the login page needs them.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, assetsRoot), "/")
		if hashes[name] == "" || hashes[name] != hash {
			http.NotFound(w, r)
			return
		}
		text, err := files.ReadFile("assets/" + name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		_, _ = w.Write(text) // a client that has gone
	})
}
