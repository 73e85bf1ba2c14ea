package main

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// yamlComment finds a comment that no quote surrounds.
var yamlComment = regexp.MustCompile(`^((?:[^'"#]|'[^']*'|"(?:[^"\\]|\\.)*"|\S#)*?)(?:^|\s)#(.*)$`)

// yamlComments returns the comments of a YAML file. Those on lines of their own, one below the other, are one block.
func yamlComments(content string) []block {
	var all []block
	var lines []line
	end := func() {
		all = append(all, plainText(lines)...)
		lines = nil
	}
	for i, text := range strings.Split(content, "\n") {
		found := yamlComment.FindStringSubmatch(text)
		if found == nil {
			end()
			continue
		}
		if alone := strings.TrimSpace(found[1]) == ""; !alone {
			end()
		}
		lines = append(lines, line{i + 1, strings.TrimPrefix(found[2], " ")})
	}
	end()
	return all
}

// alertTexts returns the summaries and descriptions of a file of alert rules; of another file, nothing.
func alertTexts(content string) []block {
	var root yaml.Node
	if yaml.Unmarshal([]byte(content), &root) != nil {
		return nil // a template, which has no alerts
	}
	var all []block
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		for i, child := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.ScalarNode {
				if key := n.Content[i-1].Value; key == "summary" || key == "description" {
					all = append(all, plainText([]line{{child.Line, templateAction.ReplaceAllString(child.Value, "X")}})...)
				}
			}
			visit(child)
		}
	}
	visit(&root)
	return all
}

// templateAction is filled in by Prometheus.
var templateAction = regexp.MustCompile(`\{\{.*?\}\}`)
