package main

import (
	"regexp"
	"strings"
)

var (
	fence        = regexp.MustCompile("^\\s*(?:> ?)?(```+|~~~+)")
	listItem     = regexp.MustCompile(`^\s*(?:[-*+]|\d+[.)]) +`)
	heading      = regexp.MustCompile(`^#{1,6} +`)
	tableRule    = regexp.MustCompile(`^\s*\|?[\s:|-]+\|?\s*$`)
	reference    = regexp.MustCompile(`^\s*\[[^\]]+\]:\s`)
	inlineLink   = regexp.MustCompile(`!?\[([^\[\]]*)\](?:\([^()\s]*(?:\([^()]*\)[^()\s]*)*(?: "[^"]*")?\)|\[[^\]]*\])`)
	htmlTag      = regexp.MustCompile(`</?[a-zA-Z][^<>]*>`)
	htmlComment  = regexp.MustCompile(`(?s)<!--.*?-->`)
	indentedCode = regexp.MustCompile(`^(?: {4}|\t)`)
)

// markdown returns the blocks of a document. Code is left out; each cell of a table is a block.
func markdown(content string) []block {
	content = htmlComment.ReplaceAllStringFunc(content, func(comment string) string {
		return strings.Repeat("\n", strings.Count(comment, "\n"))
	})
	var p markdownReader
	for i, text := range strings.Split(content, "\n") {
		p.read(line{i + 1, text})
	}
	p.end()
	return p.blocks
}

// markdownReader reads a document line by line.
type markdownReader struct {
	blocks  []block
	current block
	fence   string // how the code ends in which the reader is
	inList  bool
}

func (p *markdownReader) end() {
	if len(p.current) > 0 {
		p.blocks = append(p.blocks, p.current)
	}
	p.current = nil
}

func (p *markdownReader) add(number int, text string) {
	text = htmlTag.ReplaceAllString(inlineLink.ReplaceAllString(text, "$1"), " ")
	p.current = append(p.current, line{number, text})
}

func (p *markdownReader) read(l line) {
	if p.code(l.text) {
		return
	}
	text := strings.TrimSpace(strings.TrimLeft(l.text, "> "))
	switch {
	case text == "":
		p.end()
	case reference.MatchString(l.text):
		p.end()
	case len(p.current) == 0 && !p.inList && indentedCode.MatchString(l.text):
	case heading.MatchString(l.text):
		p.end()
		p.inList = false
		p.add(l.number, heading.ReplaceAllString(l.text, ""))
		p.end()
	case strings.HasPrefix(text, "|"):
		p.end()
		p.row(line{l.number, text})
	case listItem.MatchString(l.text):
		p.end()
		p.inList = true
		p.add(l.number, listItem.ReplaceAllString(l.text, ""))
	default:
		if len(p.current) == 0 {
			p.inList = p.inList && strings.HasPrefix(l.text, " ")
		}
		p.add(l.number, text)
	}
}

// code is true for a line of a fenced block of code, its fences included.
func (p *markdownReader) code(text string) bool {
	found := fence.FindStringSubmatch(text)
	switch {
	case p.fence != "":
		if found != nil && strings.HasPrefix(found[1], p.fence) {
			p.fence = ""
		}
		return true
	case found != nil:
		p.end()
		p.fence = found[1]
		return true
	}
	return false
}

// row adds the cells of a row of a table.
func (p *markdownReader) row(l line) {
	if tableRule.MatchString(l.text) {
		return
	}
	for _, cell := range cells(l.text) {
		p.add(l.number, cell)
		p.end()
	}
}

// cells splits a row at its bars, but not at those in code or behind a backslash.
func cells(row string) []string {
	var all []string
	var cell strings.Builder
	code := false
	for i, r := range row {
		switch {
		case r == '`':
			code = !code
		case r == '|' && !code && (i == 0 || row[i-1] != '\\'):
			all = append(all, cell.String())
			cell.Reset()
			continue
		}
		cell.WriteRune(r)
	}
	return append(all, cell.String())
}
