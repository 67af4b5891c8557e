package ui

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/goccy/go-yaml"
)

// The HTTP contract, written by hand; a test compares it with what the server does.
//
//go:embed openapi.yaml
var openAPI []byte

// OpenAPI is the HTTP contract as JSON.
var OpenAPI = sync.OnceValue(func() *Asset {
	body, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		panic(fmt.Sprintf("openapi.yaml: %v", err)) // it is part of the binary
	}
	return newAsset("application/json", body)
})
