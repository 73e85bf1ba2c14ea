package ledger

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/khronicle/khronicle/check"
)

// Bounds of evidence.
const (
	// MaxEvidence is the length in bytes of one piece, before compression. Only the end of a longer piece is stored.
	MaxEvidence = check.MaxEvidence
	// MaxPieces is how many pieces a record may have.
	MaxPieces = 64
)

// ErrEvidenceFull is the error of a record that has MaxPieces already.
var ErrEvidenceFull = errors.New("the record has the maximum number of pieces of evidence")

// Evidence is one stored piece of a run whose pod is deleted: a container's log, the events of the pod, the report. If Size
// is less than the length of the content, the ledger sets it.
type Evidence = check.Piece

type evidenceRow struct {
	key      Key
	evidence Evidence
	packed   []byte
}

// PutEvidence stores a piece of evidence of a record. The record may be stored later. A piece of the same kind and name is
// replaced.
func (l *Ledger) PutEvidence(ctx context.Context, key Key, e Evidence) error {
	if err := key.validate(); err != nil {
		return err
	}
	if e.Kind == "" {
		return fmt.Errorf("evidence of %s: %w: it has no kind", key, ErrInvalid)
	}
	e.Kind, e.Name = cut(e.Kind, maxWordBytes), cut(e.Name, maxWordBytes)
	e.Size = max(e.Size, len(e.Content))
	packed, err := pack(check.Tail(e.Content, MaxEvidence))
	if err != nil {
		return fmt.Errorf("evidence of %s: %w", key, err)
	}
	err = l.send(ctx, &request{evidence: &evidenceRow{key: key.normal(), evidence: e, packed: packed}})
	if err != nil {
		return fmt.Errorf("evidence %s %s of %s: %w", e.Kind, e.Name, key, err)
	}
	return nil
}

func pack(content string) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, content); err != nil {
		return nil, err
	}
	err := w.Close()
	return packed.Bytes(), err
}

func unpack(packed []byte) (string, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.LimitReader(r, MaxEvidence))
	return string(content), err
}

const otherPieces = `SELECT count(*) FROM evidence
WHERE check_uid = $1 AND tick = $2 AND trigger = $3 AND NOT (kind = $4 AND name = $5)`

var putPiece = upsert("evidence", []string{"check_uid", "tick", "trigger", "kind", "name"}, []string{"size", "content"},
	func(column string) string { return "excluded." + column })

func (b *batch) putEvidence(ctx context.Context, tx transaction) error {
	for _, r := range b.requests {
		if r.evidence == nil {
			continue
		}
		k, e := r.evidence.key, r.evidence.evidence
		id := []any{k.CheckUID, k.Tick.UnixMicro(), triggerIndex(k.Trigger), e.Kind, e.Name}
		var others int64
		err := one(ctx, tx, otherPieces, func(scan scanner) error { return scan(&others) }, id...)
		if err != nil {
			return fmt.Errorf("count evidence: %w", err)
		}
		if r.refusal = nil; others >= MaxPieces {
			r.refusal = ErrEvidenceFull
			continue
		}
		if err := one(ctx, tx, putPiece, nil, append(id, e.Size, r.evidence.packed)...); err != nil {
			return fmt.Errorf("put evidence: %w", err)
		}
	}
	return nil
}

// Evidence returns the evidence of a record, by kind and name.
func (l *Ledger) Evidence(ctx context.Context, key Key) ([]Evidence, error) {
	if err := key.validate(); err != nil {
		return nil, err
	}
	rows, err := l.reader().QueryContext(ctx, `SELECT kind, name, size, content FROM evidence
WHERE check_uid = $1 AND tick = $2 AND trigger = $3 ORDER BY kind, name`,
		key.CheckUID, key.Tick.UnixMicro(), triggerIndex(key.Trigger))
	if err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", key, err)
	}
	defer rows.Close()
	var found []Evidence
	for rows.Next() {
		var e Evidence
		var packed []byte
		if err := rows.Scan(&e.Kind, &e.Name, &e.Size, &packed); err != nil {
			return nil, fmt.Errorf("evidence of %s: %w", key, err)
		}
		if e.Content, err = unpack(packed); err != nil {
			return nil, fmt.Errorf("evidence %s %s of %s: %w", e.Kind, e.Name, key, err)
		}
		found = append(found, e)
	}
	return found, rows.Err()
}
