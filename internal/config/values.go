package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Values that may hold a secret, such as a URL with a password, are not shown in errors.

var kinds = map[yaml.Kind]string{yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}

// show quotes a value that is wrong, or the beginning of a long one.
func show(value string) string {
	const longest = 64
	if len(value) > longest {
		value = value[:longest] + "…"
	}
	return strconv.Quote(value)
}

// text reads a value that may be anything, as Kuberhealthy does: 12345 is a password too.
func text(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("%s, where one value is expected", kinds[n.Kind])
	}
	// A password that begins with an exclamation mark or an ampersand would be lost without a word.
	if tag := n.ShortTag(); !strings.HasPrefix(tag, "!!") || isNull(n) && n.Anchor != "" {
		return "", errors.New("begins with a character that has a meaning of its own; put the value in quotes")
	}
	return n.Value, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// blank is true for a key that was left empty, as Kuberhealthy's documentation says to do with what is not needed.
func blank(n *yaml.Node) bool {
	empty := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value == ""
	return n.Anchor == "" && (isNull(n) || empty)
}

// texts reads a mapping of words to texts.
func texts(n *yaml.Node) (map[string]string, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errors.New(`not a mapping such as "cluster: east"`)
	}
	if len(n.Content) == 0 {
		return nil, nil
	}
	all := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := resolve(n.Content[i]), resolve(n.Content[i+1])
		if name.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("%s as a key", kinds[name.Kind])
		}
		value := ""
		if !isNull(content) {
			var err error
			if value, err = text(content); err != nil {
				return nil, fmt.Errorf("%s: %w", word(name.Value), err)
			}
		}
		all[name.Value] = value
	}
	return all, nil
}

func address(n *yaml.Node) (string, error) {
	value, err := text(n)
	if err != nil {
		return "", err
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return "", fmt.Errorf(`%s is not an address such as ":8080"`, show(value))
	}
	return value, nil
}

func level(n *yaml.Node) (slog.Level, error) {
	value, err := text(n)
	if err != nil {
		return 0, err
	}
	return ParseLevel(value)
}

func levelOf(s *Settings) *slog.Level { return &s.LogLevel }

func httpURL(example string) func(*yaml.Node) (string, error) {
	return func(n *yaml.Node) (string, error) {
		value, err := text(n)
		if err != nil {
			return "", err
		}
		if u, err := url.Parse(value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return "", fmt.Errorf("not a URL such as %q", example)
		}
		return value, nil
	}
}

// truth reads the words that YAML 1.1, and so Kuberhealthy, takes for true and false.
func truth(n *yaml.Node) (bool, error) {
	value, err := text(n)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(value) {
	case "true", "yes", "on", "y":
		return true, nil
	case "false", "no", "off", "n":
		return false, nil
	}
	return false, fmt.Errorf("%s is not true or false", show(value))
}

func duration(example string) func(*yaml.Node) (time.Duration, error) {
	return func(n *yaml.Node) (time.Duration, error) {
		value, err := text(n)
		if err != nil {
			return 0, err
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, fmt.Errorf("%s is not a duration such as %q", show(value), example)
		}
		return d, nil
	}
}

func integer(n *yaml.Node) (int, error) {
	value, err := text(n)
	if err != nil {
		return 0, err
	}
	if number, err := strconv.Atoi(value); err == nil {
		return number, nil
	}
	return 0, fmt.Errorf("%s is not a whole number such as 100", show(value))
}

func count(n *yaml.Node) (int, error) {
	number, err := integer(n)
	if err == nil && number < 0 {
		err = fmt.Errorf("%d is less than 0, which keeps none", number)
	}
	return number, err
}
