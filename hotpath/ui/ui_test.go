package ui

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

var update = flag.Bool("update", false, "write like-button.js")

// banner stands above the script, for who finds it in a browser.
const banner = "// <like-button> of plusone, minified: its source is hotpath/ui/button."

// build bundles and minifies the button's source.
func build(t *testing.T) []byte {
	t.Helper()
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{"button/element.js"},
		Bundle:      true,
		Format:      api.FormatIIFE,
		Target:      api.ES2022,
		Charset:     api.CharsetUTF8,
		Banner:      map[string]string{"js": banner},

		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		Plugins: []api.Plugin{{Name: "css as text", Setup: func(b api.PluginBuild) { b.OnLoad(api.OnLoadOptions{Filter: `\.css$`}, cssAsText) }}},
	})
	for _, m := range append(built.Errors, built.Warnings...) {
		t.Errorf("%+v: %s", m.Location, m.Text)
	}
	if t.Failed() || len(built.OutputFiles) != 1 {
		t.Fatalf("esbuild makes %d files", len(built.OutputFiles))
	}
	return built.OutputFiles[0].Contents
}

// cssAsText makes a style sheet, minified, the value that a script imports.
func cssAsText(args api.OnLoadArgs) (r api.OnLoadResult, err error) {
	src, err := os.ReadFile(args.Path)
	if err != nil {
		return r, err
	}
	made := api.Transform(string(src), api.TransformOptions{Loader: api.LoaderCSS, MinifyWhitespace: true, MinifySyntax: true})
	text := string(bytes.TrimSpace(made.Code))
	return api.OnLoadResult{Contents: &text, Loader: api.LoaderText, Errors: made.Errors, Warnings: made.Warnings}, nil
}

func TestTheScriptIsMadeOfItsSource(t *testing.T) {
	want := build(t)
	if *update {
		if err := os.WriteFile("like-button.js", want, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(likeButton, want) {
		t.Error("like-button.js is not what button/*.js makes; run: go generate ./hotpath/ui")
	}
}

func TestTheScriptIsSmall(t *testing.T) {
	const most = 5000 // bytes
	if n := len(LikeButton().Gzip); n > most {
		t.Errorf("the script has %d bytes when compressed, more than %d", n, most)
	} else {
		t.Logf("%d bytes, %d when compressed", len(LikeButton().Body), n)
	}
}

func TestAnAssetIsWhatItsCompressedFormHolds(t *testing.T) {
	a := newAsset("text/plain", []byte("hello"))
	r, err := gzip.NewReader(bytes.NewReader(a.Gzip))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(body, a.Body) {
		t.Fatalf("%q %v", body, err)
	}
	// As sha256sum and `openssl dgst -sha384 -binary | base64` say.
	if a.Hash != "2cf24dba5fb0a30e" || a.Integrity != "sha384-WeF0h3dEjGnea4ANejO7+5/xtGPkQ1TDVTvNucZm+pASWjx5+QOXvfX2oT3oKGhP" {
		t.Errorf("%s %s", a.Hash, a.Integrity)
	}
}
