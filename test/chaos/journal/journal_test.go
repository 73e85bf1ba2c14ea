package journal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/khronicle/khronicle/test/chaos/journal"
)

func TestEachProcessHasItsOwnJournal(t *testing.T) {
	folder := t.TempDir()
	for _, run := range []string{"first", "second"} { // the same pod, started twice
		w, err := journal.Create(folder, "pod")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []journal.Line{
			{Kind: journal.Start, Pod: "pod", Run: run},
			{Kind: journal.Sending, Report: 1, Errors: []string{"broken\nin two"}},
			{Kind: journal.Answered, Report: 1, Status: 200},
		} {
			if err := w.Write(line); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := journal.Read(folder)
	if err != nil || len(found) != 2 || len(found[0]) != 3 || found[0][0].Run != "first" || found[1][0].Run != "second" {
		t.Fatalf("read %+v, error %v", found, err)
	}
	if l := found[0]; l[1].Errors[0] != "broken\nin two" || l[2].Status != 200 || l[2].At.Before(l[1].At) {
		t.Errorf("read %+v", l)
	}
}

func TestReadTakesWhatAKillLeft(t *testing.T) {
	for _, c := range []struct {
		name, content string
		journals      int
		fails         bool
	}{
		{name: "cut off in mid-line", content: `{"Kind":"start","Run":"r"}` + "\n" + `{"Kind":"al`, journals: 1},
		{name: "cut off in the first line", content: `{"Kind":"sta`},
		{name: "nothing written"},
		{name: "nobody's", content: `{"Kind":"alive"}` + "\n", fails: true},
		{name: "garbage", content: "garbage\n", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "pod.1"+journal.Suffix), []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			found, err := journal.Read(folder)
			if len(found) != c.journals || (err != nil) != c.fails {
				t.Errorf("read %+v, error %v", found, err)
			}
		})
	}
}
