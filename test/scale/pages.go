//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/khronicle/khronicle/test/browse"
)

// openPages opens the overview pages of -pages. closing closes them, and returns what they have received since. It returns nil
// without -pages.
func (s *stack) openPages(ctx context.Context) (closing func() *browse.Figures, err error) {
	if s.pages < 0 {
		return func() *browse.Figures { return nil }, nil
	}
	ctx, stop := context.WithCancel(ctx)
	pages := browse.Open(ctx, "http://127.0.0.1:"+reportPort, s.pages, browse.Pause)
	if err := s.pass(ctx, fmt.Sprintf("opening %d pages", s.pages), settle); err != nil {
		stop()
		return nil, err
	}
	if _, errs := pages.Figures(); len(errs) > 0 {
		stop()
		return nil, fmt.Errorf("open pages: %w", errors.Join(errs...))
	}
	return func() *browse.Figures {
		found, errs := pages.Figures()
		stop()
		pages.Wait()
		for _, err := range errs {
			progress("a page: %v", err)
		}
		return &found
	}, nil
}
