// Command apiref writes the reference of the REST API as Markdown, from its OpenAPI description. It knows the part of OpenAPI
// that the description uses, and refuses what it cannot show.
//
//	go run ./tools/apiref api/openapi.yaml docs/api-reference.md
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apiref:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want the description and the file to write, such as api/openapi.yaml docs/api-reference.md")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	page, err := render(text)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return os.WriteFile(args[1], []byte(page), 0o644) //nolint:gosec // a document that everyone may read
}
