package ledger

import (
	"context"
	"fmt"

	"github.com/khronicle/khronicle/check"
)

// RunOf returns the record of a check or job with this workflow ID.
func (l *Ledger) RunOf(ctx context.Context, ref check.Ref, workflowID string) (a Record, ok bool, err error) {
	return l.newest(ctx, ref, `r.workflow_id = $2`, packID(workflowID))
}

// newest returns the newest record of a check or job that satisfies a condition, whose arguments are $2 and so on.
func (l *Ledger) newest(ctx context.Context, ref check.Ref, condition string, args ...any) (a Record, ok bool, err error) {
	ids, err := checkIDs(ctx, l.reader(), ref)
	for _, id := range ids {
		var found []Record
		found, err = queryRecords(ctx, l.reader(), selectRecords+` WHERE r.check_id = $1 AND `+condition+
			` ORDER BY r.tick DESC, r.trigger DESC LIMIT 1`, append([]any{id}, args...)...)
		if err != nil {
			break
		}
		if len(found) > 0 && (!ok || found[0].Tick.After(a.Tick)) {
			a, ok = found[0], true
		}
	}
	if err != nil {
		return Record{}, false, fmt.Errorf("find record of %s: %w", ref, err)
	}
	return a, ok, nil
}
