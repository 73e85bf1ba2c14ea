package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/khronicle/khronicle/internal/deadman"
)

// validate returns what is wrong with a flag or variable of this command. It names the one that the value comes from. Settings
// that the configuration file may change are validated with the file; see loadSettings.
func (c *config) validate() error {
	for _, check := range []func() error{c.checkNamespaces, c.checkLimits, c.checkLedger, c.checkAddresses, c.checkTemporalUI} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := deadman.Validate(c.deadmanURL); c.has(flagDeadmanURL) && err != nil {
		return fmt.Errorf("%s: %w", c.source(flagDeadmanURL, envDeadmanURL), err)
	}
	return nil
}

func (c *config) checkNamespaces() error {
	if c.has(flagNamespace) {
		if err := isNamespace(c.source(flagNamespace, envNamespace), c.namespace); err != nil {
			return err
		}
	}
	for _, name := range c.targetNamespaces {
		if err := isNamespace(c.source(flagTargetNamespaces, envTargetNamespaces), name); err != nil {
			return err
		}
	}
	return nil
}

func isNamespace(source, name string) error {
	if validation.IsDNS1123Label(name) != nil {
		return fmt.Errorf("%s: %q is not the name of a namespace, such as kuberhealthy", source, name)
	}
	return nil
}

// checkLimits returns an error for a number or interval that has no meaning.
func (c *config) checkLimits() error {
	switch {
	case !(c.podStarts >= 0): // also NaN
		return fmt.Errorf("--%s: %v is not at least 0", flagPodStarts, c.podStarts)
	case c.runningPods < 0:
		return fmt.Errorf("--%s: %d is less than 0", flagRunningPods, c.runningPods)
	case c.isSet(flagStartBurst) && c.startBurst < 1:
		return fmt.Errorf("--%s: %d is not at least 1", flagStartBurst, c.startBurst)
	case c.isSet(flagReapInterval) && c.reapInterval <= 0:
		return fmt.Errorf("--%s: %s is not more than 0", flagReapInterval, c.reapInterval)
	}
	return nil
}
