// Package journal holds what the pods of the crash tests report about themselves. Each process has one file of JSON lines
// outside the pod, which outlives the pod, the kubelet and the API server. The check writes it and the proof reads it.
package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what a line says.
type Kind string

// The kinds of lines.
const (
	// Start is the first line: which pod and run this is, and what it is going to do (Text).
	Start Kind = "start"
	// Alive is written all the time, about twice a second.
	Alive Kind = "alive"
	// Sending is written before a report (OK, Errors) is sent for the first time.
	Sending Kind = "sending"
	// Answered is the HTTP status that one try to report got.
	Answered Kind = "answered"
	// Unanswered is a try that got no answer, or one that asks for another try (Text).
	Unanswered Kind = "unanswered"
	// GaveUp is written when the client tries no more.
	GaveUp Kind = "gave-up"
	// The process has received SIGTERM.
	Told Kind = "told"
	// End is the last line of a process that ends by itself; Text says how.
	End Kind = "end"
)

// Line is one line of a journal.
type Line struct {
	At       time.Time
	Kind     Kind
	Pod      string    `json:",omitempty"`
	Run      string    `json:",omitempty"`
	Deadline time.Time `json:",omitzero"`
	// Report counts the reports of the process from 1; it is set from Sending to the last answer.
	Report int      `json:",omitempty"`
	OK     bool     `json:",omitempty"`
	Errors []string `json:",omitempty"`
	Status int      `json:",omitempty"`
	Text   string   `json:",omitempty"`
}

// Suffix is that of the files.
const Suffix = ".jsonl"

// Writer appends lines to the journal of this process. What is written is in the kernel's hands, so that no death of a
// process loses it; a power cut is none of these faults.
type Writer struct {
	mu   sync.Mutex
	file *os.File
}

// Create makes the journal of a process of a pod. Its name is unique even when the pod is started twice.
func Create(folder, pod string) (*Writer, error) {
	file, err := os.CreateTemp(folder, pod+".*"+Suffix)
	if err != nil {
		return nil, fmt.Errorf("make journal: %w", err)
	}
	return &Writer{file: file}, nil
}

// Write appends a line and gives it its time.
func (w *Writer) Write(line Line) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	line.At = time.Now()
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = w.file.Write(append(text, '\n'))
	return err
}

// Read returns the journals of a folder, ordered by their first line. A last line that was cut off by a kill is left out.
func Read(folder string) ([][]Line, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+Suffix))
	if err != nil {
		return nil, err
	}
	var journals [][]Line
	for _, name := range files {
		lines, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if len(lines) > 0 {
			journals = append(journals, lines)
		}
	}
	slices.SortFunc(journals, func(a, b []Line) int { return a[0].At.Compare(b[0].At) })
	return journals, nil
}

func readFile(name string) ([]Line, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	whole := text[:strings.LastIndexByte(string(text), '\n')+1]
	var lines []Line
	for scanner := bufio.NewScanner(strings.NewReader(string(whole))); scanner.Scan(); {
		var line Line
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 && lines[0].Kind != Start {
		return nil, errors.New(name + ": the first line does not say whose it is")
	}
	return lines, nil
}
