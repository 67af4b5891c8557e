package ui

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"sync"
)

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle string

// Docs is OpenAPI as a page for people. It loads nothing, needs no script, and says so
// itself to the browser.
var Docs = sync.OnceValue(func() *Asset {
	var page bytes.Buffer
	if err := writeDocs(&page, OpenAPI().Body); err != nil {
		panic(fmt.Sprintf("docs: %v", err)) // all of it is part of the binary
	}
	return newAsset("text/html; charset=utf-8", page.Bytes())
})

func writeDocs(to *bytes.Buffer, document []byte) error {
	root, err := readTree(document)
	if err != nil {
		return err
	}
	page, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(docsStyle))
	return page.Execute(to, struct {
		*docsPage
		Style  template.CSS
		Policy string
	}{
		newDocsPage(root), template.CSS(docsStyle), //nolint:gosec // it is a file of ours
		"default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
	})
}
