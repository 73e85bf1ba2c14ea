// Command prose reads what people read: documents, comments, help texts and alerts. It reports sentences that are too
// long and words that this project does not use. It changes no text.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "root of the repository")
	flag.BoolVar(&o.count, "count", false, "print the findings of each file as numbers, whatever is allowed, and succeed")
	flag.BoolVar(&o.lower, "lower", false, "lower the numbers of allowed.txt to what is still there")
	flag.BoolVar(&o.reset, "reset", false, "write allowed.txt anew, so that everything which is there today is allowed")
	flag.Parse()
	ok, err := run(o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prose:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	root                string
	count, lower, reset bool
}

// folder holds the two lists that the program reads.
const folder = "tools/prose"

// run checks a repository. It returns false when there is something to mend.
func run(o options, out io.Writer) (bool, error) {
	words, err := readWords(filepath.Join(o.root, folder, "words.txt"))
	if err != nil {
		return false, err
	}
	findings, err := readTree(o.root, words)
	if err != nil {
		return false, err
	}
	if o.count {
		return true, printCounts(out, findings)
	}
	path := filepath.Join(o.root, folder, "allowed.txt")
	allowed, err := readAllowed(path)
	if err != nil {
		return false, err
	}
	if o.lower || o.reset {
		return true, writeAllowed(path, counted(findings), allowed, o.reset)
	}
	faults := compare(findings, allowed)
	for _, fault := range faults {
		fmt.Fprintln(out, fault)
	}
	return len(faults) == 0, nil
}
