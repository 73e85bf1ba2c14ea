package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

var (
	directive = regexp.MustCompile(`^(?://(?:[a-z]+:\S|nolint|line |export )|// ?\+[a-z])`)
	flagCall  = regexp.MustCompile(`^(?:String|Bool|Int|Int64|Uint|Uint64|Float64|Duration|StringSlice|StringArray|Text)?(?:Var)?P?$`)
	helpName  = regexp.MustCompile(`(?:Help|Usage|Long)$`)
)

// golang returns the comments of a Go file and the help texts of its flags, commands and metrics. Generated files have none.
func golang(content string) ([]block, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	var all []block
	for _, group := range file.Comments {
		var lines []line
		for _, comment := range group.List {
			lines = append(lines, commentLines(files.Position(comment.Pos()).Line, comment.Text)...)
		}
		all = append(all, plainText(lines)...)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		for _, text := range helpTexts(n) {
			all = append(all, literal(files, text)...)
		}
		return true
	})
	return all, nil
}

// commentLines returns the lines of a comment without its slashes and stars. A directive has none.
func commentLines(number int, text string) []line {
	if rest, ok := strings.CutPrefix(text, "/*"); ok {
		var lines []line
		for i, each := range strings.Split(strings.TrimSuffix(rest, "*/"), "\n") {
			lines = append(lines, line{number + i, strings.TrimPrefix(each, " ")})
		}
		return lines
	}
	if directive.MatchString(text) {
		return []line{{number, ""}}
	}
	return []line{{number, strings.TrimPrefix(text[2:], " ")}}
}

// plainText returns the blocks of text without markup, as in doc comments: what is indented is code, apart from lists.
func plainText(lines []line) []block {
	var p markdownReader
	for _, l := range lines {
		text := strings.TrimSpace(l.text)
		switch {
		case text == "":
			p.end()
			p.inList = false
		case listItem.MatchString(l.text):
			p.end()
			p.inList = true
			p.add(l.number, listItem.ReplaceAllString(l.text, ""))
		case heading.MatchString(l.text):
			p.end()
			p.add(l.number, heading.ReplaceAllString(l.text, ""))
			p.end()
		case !p.inList && strings.TrimLeft(l.text, " \t") != l.text:
			p.end() // code
		default:
			p.add(l.number, text)
		}
	}
	p.end()
	return p.blocks
}

// helpTexts returns the expressions of a node that hold help: of a flag, of a command or of a metric.
func helpTexts(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		return helpArguments(n)
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Help" || key.Name == "Short" || key.Name == "Long") {
			return []ast.Expr{n.Value}
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if helpName.MatchString(name.Name) && i < len(n.Values) {
				return n.Values[i : i+1]
			}
		}
	}
	return nil
}

// helpArguments returns the argument of a call that is help: the last one of a flag, the second one of a metric.
func helpArguments(call *ast.CallExpr) []ast.Expr {
	called, ok := call.Fun.(*ast.SelectorExpr)
	switch {
	case !ok:
		return nil
	case called.Sel.Name == "NewDesc" && len(call.Args) == 4:
		return call.Args[1:2]
	case len(call.Args) >= 3 && flagCall.MatchString(called.Sel.Name):
		return call.Args[len(call.Args)-1:]
	}
	return nil
}

// literal returns the blocks of an expression that is a string, or several with "+" between them.
func literal(files *token.FileSet, e ast.Expr) []block {
	var lines []line
	var add func(ast.Expr)
	add = func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.BinaryExpr:
			add(e.X)
			add(e.Y)
		case *ast.BasicLit:
			text, err := strconv.Unquote(e.Value)
			if err != nil {
				return // a number
			}
			start := files.Position(e.Pos()).Line
			for i, each := range strings.Split(text, "\n") {
				switch {
				case i == 0 && len(lines) > 0: // what stood before the "+" goes on
					lines[len(lines)-1].text += each
				case strings.HasPrefix(e.Value, "`"):
					lines = append(lines, line{start + i, each})
				default: // the text has lines that the literal has not
					lines = append(lines, line{start, each})
				}
			}
		}
	}
	add(e)
	return plainText(lines)
}
