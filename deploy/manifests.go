// Package deploy holds the manifests of Khronicle, so that the program can print them and compare a cluster with them. It never
// calls an API server.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

//go:embed crds/comcast.github.io_*.yaml manifests/*.yaml
var files embed.FS

// DefaultNamespace is the namespace in the manifests.
const DefaultNamespace = "kuberhealthy"

// The parts of the manifests that Documents returns.
const (
	PartCRDs     = "crds"
	PartAccounts = "serviceaccounts"
	PartRoles    = "roles"
	PartBindings = "bindings"
)

var kindOf = map[string]string{
	PartCRDs: "CustomResourceDefinition", PartAccounts: "ServiceAccount", PartRoles: "ClusterRole", PartBindings: "ClusterRoleBinding",
}

// Parts returns the names of all parts, in the order in which they are applied.
func Parts() []string { return []string{PartCRDs, PartAccounts, PartRoles, PartBindings} }

var (
	separator = regexp.MustCompile(`(?m)^---\n`)
	namespace = regexp.MustCompile(`(?m)(\bnamespace: )` + DefaultNamespace + `\b`)
	comments  = regexp.MustCompile(`(?m)\A(#.*\n)+`)
)

// Documents returns the YAML documents of a part, for an installation in that namespace. It is nil for a part that does not exist.
func Documents(part, inNamespace string) []string {
	var found []string
	for _, document := range documents() {
		if kind := kindOf[part]; kind != "" && strings.Contains(document, "\nkind: "+kind+"\n") {
			found = append(found, namespace.ReplaceAllString(document, "${1}"+inNamespace))
		}
	}
	return found
}

// documents returns all documents of all files.
func documents() []string {
	var all []string
	for _, folder := range []string{"crds", "manifests"} {
		names, err := fs.Glob(files, folder+"/*.yaml")
		if err != nil {
			panic(err) // the pattern is right
		}
		for _, name := range names {
			text, err := files.ReadFile(name)
			if err != nil {
				panic(fmt.Sprintf("embedded file %s: %v", name, err))
			}
			all = append(all, slices.DeleteFunc(separator.Split(string(text), -1), blank)...)
		}
	}
	for i, document := range all {
		all[i] = "\n" + strings.TrimSpace(comments.ReplaceAllString(document, "")) + "\n"
	}
	return all
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }
