// Dashboards writes Khronicle's dashboards for Grafana: deploy/dashboards/*.json. `make generate` runs it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	out := flag.String("out", "../../deploy/dashboards", "folder for the dashboards")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// write writes each dashboard to a file with its name.
func write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, b := range boards() {
		built, err := b.build()
		if err != nil {
			return fmt.Errorf("build dashboard %s: %w", b.name, err)
		}
		text, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return fmt.Errorf("encode dashboard %s: %w", b.name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, b.name+".json"), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func boards() []board { return []board{overview(), oneCheck(), engine()} }
