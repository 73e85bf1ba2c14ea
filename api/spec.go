// Package api has the description of the REST API. The server and the client are generated from it.
package api

import _ "embed"

// OpenAPI is the description of the REST API, in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
