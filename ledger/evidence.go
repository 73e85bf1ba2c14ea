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
	// MaxEvidence is the length in bytes of one piece, before it is compressed. Of a longer one the end is kept.
	MaxEvidence = check.MaxEvidence
	// MaxPieces is how many pieces an account may have.
	MaxPieces = 64
)

// ErrEvidenceFull is the error of an account that has MaxPieces already.
var ErrEvidenceFull = errors.New("the account has as much evidence as it may")

// Evidence is one thing that was kept of a run whose pod is gone: a container's log, the pod's events, the report.
type Evidence struct {
	// Kind says what it is, such as "log", and Name of what, such as the container's name: the two identify it.
	Kind, Name string
	Content    []byte
	// Size is how long the whole was; of what is longer than Content, a part is not kept: of a log its beginning. The ledger
	// sets it where it is less.
	Size int
}

type evidenceRow struct {
	key      Key
	evidence Evidence
	packed   []byte
}

// PutEvidence keeps a piece of evidence with an account, which may come later. The same kind and name again replace it.
func (l *Ledger) PutEvidence(ctx context.Context, key Key, e Evidence) error {
	if err := key.validate(); err != nil {
		return err
	}
	if e.Kind == "" {
		return fmt.Errorf("evidence of %s: %w: it has no kind", key, ErrInvalid)
	}
	e.Kind, e.Name = cut(e.Kind, maxWordBytes), cut(e.Name, maxWordBytes)
	e.Size = max(e.Size, len(e.Content))
	packed, err := pack(e.Content[max(0, len(e.Content)-MaxEvidence):])
	if err != nil {
		return fmt.Errorf("evidence of %s: %w", key, err)
	}
	err = l.send(ctx, &request{evidence: &evidenceRow{key: key.normal(), evidence: e, packed: packed}})
	if err != nil {
		return fmt.Errorf("evidence %s %s of %s: %w", e.Kind, e.Name, key, err)
	}
	return nil
}

func pack(content []byte) ([]byte, error) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err := w.Close()
	return packed.Bytes(), err
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, MaxEvidence))
}

const otherPieces = `SELECT count(*) FROM evidence
WHERE check_uid = $1 AND nominal = $2 AND cause = $3 AND NOT (kind = $4 AND name = $5)`

var putPiece = upsert("evidence", []string{"check_uid", "nominal", "cause", "kind", "name"}, []string{"size", "content"},
	func(column string) string { return "excluded." + column })

func (b *book) putEvidence(ctx context.Context, tx transaction) error {
	for _, r := range b.requests {
		if r.evidence == nil {
			continue
		}
		k, e := r.evidence.key, r.evidence.evidence
		id := []any{k.CheckUID, k.Nominal.UnixMicro(), causeOf(k.Trigger), e.Kind, e.Name}
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

// Evidence returns what is kept of an account, by kind and name.
func (l *Ledger) Evidence(ctx context.Context, key Key) ([]Evidence, error) {
	if err := key.validate(); err != nil {
		return nil, err
	}
	rows, err := l.store.reader().QueryContext(ctx, `SELECT kind, name, size, content FROM evidence
WHERE check_uid = $1 AND nominal = $2 AND cause = $3 ORDER BY kind, name`,
		key.CheckUID, key.Nominal.UnixMicro(), causeOf(key.Trigger))
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
