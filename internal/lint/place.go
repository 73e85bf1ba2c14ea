package lint

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	yamlnode "go.yaml.in/yaml/v4"
)

// maxDepth is how many aliases in a row are followed.
const maxDepth = 100

// plain matches a key that needs no brackets in a path.
var plain = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// child returns the path of a field of the object at a path.
func child(path, key string) string {
	switch {
	case !plain.MatchString(key):
		return entry(path, key)
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// entry returns the path of an entry of the map at a path.
func entry(path, key string) string { return path + "[" + key + "]" }

// item returns the path of an item of the list at a path.
func item(path string, index int) string { return fmt.Sprintf("%s[%d]", path, index) }

// steps splits a path into its keys and indexes.
func steps(path string) []string {
	var all []string
	for path != "" {
		if inner, ok := strings.CutPrefix(path, "["); ok {
			step, rest, _ := strings.Cut(inner, "]")
			all, path = append(all, step), rest
			continue
		}
		path = strings.TrimPrefix(path, ".")
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		all, path = append(all, path[:end]), path[end:]
	}
	return all
}

// find returns the node at a path, and the line of its key or of itself. Without such a node, it returns nil and the line of
// the nearest node around the path.
func find(node *yamlnode.Node, path string) (*yamlnode.Node, int) {
	if node == nil {
		return nil, 1
	}
	line := node.Line
	for _, step := range steps(path) {
		key, value := descend(node, step, maxDepth)
		if value == nil {
			return nil, line
		}
		node, line = value, key.Line
	}
	return node, line
}

// descend returns the value at a key or index of a node, and the node with its line.
func descend(node *yamlnode.Node, step string, depth int) (key, value *yamlnode.Node) {
	if depth == 0 {
		return nil, nil
	}
	switch node.Kind {
	case yamlnode.AliasNode:
		return descend(node.Alias, step, depth-1)
	case yamlnode.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	case yamlnode.MappingNode:
		return lookup(node, step, depth)
	case yamlnode.DocumentNode, yamlnode.ScalarNode: // no values inside
	}
	return nil, nil
}

// lookup finds a key in a mapping, or in the mappings merged into it. Of equal keys the last one counts, as for the parser.
func lookup(node *yamlnode.Node, step string, depth int) (key, value *yamlnode.Node) {
	for i := len(node.Content) - 2; i >= 0; i -= 2 {
		if node.Content[i].Value == step {
			return node.Content[i], node.Content[i+1]
		}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != "<<" {
			continue
		}
		merged := []*yamlnode.Node{node.Content[i+1]}
		if merged[0].Kind == yamlnode.SequenceNode {
			merged = merged[0].Content
		}
		for _, source := range merged {
			if key, value = descend(source, step, depth-1); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

// duplicates calls found for each key that a mapping has again.
func duplicates(node *yamlnode.Node, path string, found func(path string, first, second int)) {
	switch node.Kind {
	case yamlnode.SequenceNode:
		for i, inner := range node.Content {
			duplicates(inner, item(path, i), found)
		}
	case yamlnode.MappingNode:
		first := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			inner := child(path, key.Value)
			if line, ok := first[key.Value]; ok {
				found(inner, line, key.Line)
			} else {
				first[key.Value] = key.Line
			}
			duplicates(node.Content[i+1], inner, found)
		}
	case yamlnode.AliasNode, yamlnode.DocumentNode, yamlnode.ScalarNode: // an alias is read at its definition
	}
}
