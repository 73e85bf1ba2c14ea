package main

import (
	"regexp"
	"strings"
	"unicode"
)

// line is one line of text and its number in the file.
type line struct {
	number int
	text   string
}

// block is text in which sentences run on from line to line: a paragraph, a list item, a cell of a table or a comment.
type block []line

// sentence is one sentence of a block.
type sentence struct {
	line  int
	words int
	text  string
}

// piece is what stands between two blanks. A code span is one piece.
type piece struct {
	line int
	text string
}

var (
	// pieces of a line: text with code spans in it, or other text without blanks.
	piecePattern = regexp.MustCompile("(?:[^\\s`]*`[^`]*`[^\\s`]*)+|\\S+")
	sentenceEnd  = regexp.MustCompile(`[.!?][)"'”’*_\]]*$`)
	codeSpan     = regexp.MustCompile("`[^`]*`")
)

// abbreviations end with a full stop that ends no sentence.
var abbreviations = map[string]bool{"e.g.": true, "i.e.": true, "cf.": true, "vs.": true, "etc.": true, "approx.": true}

// sentences splits a block.
func (b block) sentences() []sentence {
	var all []sentence
	var current []piece
	end := func() {
		if s := newSentence(current); s.words > 0 {
			all = append(all, s)
		}
		current = nil
	}
	for _, t := range b.pieces() {
		current = append(current, t)
		if sentenceEnd.MatchString(t.text) && !abbreviations[strings.ToLower(strings.TrimLeft(t.text, "(["))] {
			end()
		}
	}
	end()
	return all
}

// pieces returns the pieces of a block. A code span may run over the end of a line.
func (b block) pieces() []piece {
	var all []piece
	open := ""
	for _, l := range b {
		text := l.text
		if open != "" {
			text, open = open+" "+text, ""
		}
		if at := strings.LastIndex(text, "`"); at >= 0 && strings.Count(text, "`")%2 == 1 {
			text, open = text[:at], text[at:]
		}
		for _, t := range piecePattern.FindAllString(text, -1) {
			all = append(all, piece{l.number, t})
		}
	}
	for _, t := range strings.Fields(open) { // what looked like the start of a code span was none
		all = append(all, piece{b[len(b)-1].number, t})
	}
	return all
}

// newSentence counts the pieces that are words: those with a letter or a digit.
func newSentence(pieces []piece) sentence {
	var s sentence
	texts := make([]string, 0, len(pieces))
	for _, t := range pieces {
		if s.line == 0 {
			s.line = t.line
		}
		if strings.ContainsFunc(t.text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
			s.words++
		}
		texts = append(texts, t.text)
	}
	s.text = strings.Join(texts, " ")
	return s
}

// plain returns the text of a sentence without its code.
func (s sentence) plain() string { return codeSpan.ReplaceAllString(s.text, "`") }
