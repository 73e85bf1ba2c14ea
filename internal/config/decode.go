package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/khronicle/khronicle/internal/duration"
)

var kinds = map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}

// decode sets a field by its type. Its error says what is wrong and what would be right. Text that may be a secret is
// never in it: every text is valid.
func decode(n *yaml.Node, into any) error {
	if into, ok := into.(*map[string]string); ok {
		return decodeTexts(n, into)
	}
	value, err := text(n)
	if err != nil {
		return err
	}
	ok, want := true, ""
	switch into := into.(type) {
	case *string:
		*into = value
	case *bool:
		*into, ok = parseBool(value)
		want = "true or false"
	case *int:
		*into, err = strconv.Atoi(value)
		ok, want = err == nil, "a whole number such as 100"
	case *time.Duration:
		*into, err = time.ParseDuration(value)
		ok, want = err == nil, `a duration such as "15m"`+duration.Hint(value)
	case *slog.Level:
		*into, err = ParseLevel(value)
		return err
	default:
		return fmt.Errorf("a setting of type %T cannot be read", into)
	}
	if !ok {
		return fmt.Errorf("%s is not %s", show(value), want)
	}
	return nil
}

// parseBool reads the words that YAML 1.1, and so Kuberhealthy, takes for true and false.
func parseBool(value string) (isTrue, ok bool) {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "y":
		return true, true
	case "false", "no", "off", "n":
		return false, true
	}
	return false, false
}

// decodeTexts reads a mapping of words to texts. An empty one is nil.
func decodeTexts(n *yaml.Node, into *map[string]string) error {
	if n.Kind != yaml.MappingNode {
		return errors.New(`not a mapping such as "cluster: east"`)
	}
	*into = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := resolve(n.Content[i]), resolve(n.Content[i+1])
		if name.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s as a key", kinds[name.Kind])
		}
		value := ""
		if !isNull(content) {
			var err error
			if value, err = text(content); err != nil {
				return fmt.Errorf("%s: %w", word(name.Value), err)
			}
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[name.Value] = value
	}
	return nil
}

// text returns a value as it is written, whatever its type in YAML: 12345 is a password too.
func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("%s, where one value is expected", kinds[n.Kind])
	}
	// YAML would silently lose a password that begins with an exclamation mark or an ampersand.
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") || isNull(n) && n.Anchor != "" {
		return "", errors.New("begins with a character that has a meaning of its own; put the value in quotes")
	}
	return n.Value, nil
}

// isBlank is true for a key that is left empty. Kuberhealthy's documentation recommends that for keys that are not needed.
func isBlank(n *yaml.Node) bool {
	empty := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value == ""
	return n.Anchor == "" && (isNull(n) || empty)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// resolve returns the node that an alias refers to.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// show quotes a wrong value, or the beginning of a long one.
func show(value string) string {
	const longest = 64
	if len(value) > longest {
		value = value[:longest] + "…"
	}
	return strconv.Quote(value)
}
