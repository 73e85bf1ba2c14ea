package verb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/khronicle/khronicle/internal/protocol"
	"github.com/khronicle/khronicle/kube"
)

// fieldManager is the field manager of what the verbs write.
const fieldManager = "khronicle-cli"

func pauseCommand() *cobra.Command {
	c, reason, by := newConnection(), "", ""
	command := &cobra.Command{
		Use: "pause CHECK…", Short: "Suspend checks: they run no more until they are resumed", Args: cobra.MinimumNArgs(1),
		Long: `Suspend checks by spec.suspend, and note who did it and why in annotations. A run in flight goes on.
A tool that applies manifests again may resume the check: then set suspend in the manifest.`,
		Example:           `  khronicle pause shop/checkout --reason "the payment provider is down until noon"`,
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			if by == "" {
				by = userName()
			}
			notes := map[string]any{protocol.AnnotationPausedBy: orNull(by), protocol.AnnotationPauseReason: orNull(reason)}
			return c.patchEach(cmd, args, "paused", map[string]any{
				"metadata": map[string]any{"annotations": notes}, "spec": map[string]any{"suspend": true},
			})
		},
	}
	c.addClusterFlags(command.Flags())
	command.Flags().StringVar(&reason, "reason", "", "why, for those who find the check paused")
	command.Flags().StringVar(&by, "by", "", "who pauses (default: the user of this shell)")
	return command
}

func resumeCommand() *cobra.Command {
	c := newConnection()
	command := &cobra.Command{
		Use: "resume CHECK…", Short: "End the suspension of checks", Args: cobra.MinimumNArgs(1), ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			notes := map[string]any{protocol.AnnotationPausedBy: nil, protocol.AnnotationPauseReason: nil}
			return c.patchEach(cmd, args, "resumed", map[string]any{
				"metadata": map[string]any{"annotations": notes}, "spec": map[string]any{"suspend": nil},
			})
		},
	}
	c.addClusterFlags(command.Flags())
	return command
}

// patchEach patches each check, and goes on after an error.
func (c *connection) patchEach(cmd *cobra.Command, args []string, done string, patch map[string]any) error {
	refs, err := c.refs(args)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range refs {
		checks, err := c.checks(name.namespace)
		if err != nil {
			return err
		}
		if err := patchCheck(cmd.Context(), checks, name, patch); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", name, done)
	}
	return errors.Join(errs...)
}

// patchCheck sends a merge patch.
func patchCheck(ctx context.Context, checks *kube.CheckClient, name ref, patch any) error {
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = checks.Patch(ctx, name.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	return ofCheck(name, err)
}

// ofCheck names the check in an error.
func ofCheck(name ref, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no check %s in the namespace %s: %w", name.name, name.namespace, err)
	}
	return fmt.Errorf("check %s: %w", name, err)
}

// orNull makes a merge patch delete what is empty.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func userName() string {
	if found, err := user.Current(); err == nil {
		return found.Username
	}
	return ""
}
