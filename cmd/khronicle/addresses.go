package main

import (
	"fmt"
	"net/url"

	settings "github.com/khronicle/khronicle/internal/config"
	"github.com/khronicle/khronicle/internal/operations"
)

func (c *config) checkAddresses() error {
	if c.has(flagOperations) && !settings.IsAddress(c.operations) {
		return fmt.Errorf("--%s: %q is not an address such as \":8081\"", flagOperations, c.operations)
	}
	if c.temporalAddress != "" && !settings.IsAddress(c.temporalAddress) {
		return fmt.Errorf("--%s: %q is not an address such as 127.0.0.1:7233", flagTemporalAddress, c.temporalAddress)
	}
	if c.pprof == "" {
		return nil
	}
	if err := operations.CheckLoopback(c.pprof); err != nil {
		return fmt.Errorf("--%s: %w", flagPprof, err)
	}
	return nil
}

func (c *config) checkTemporalUI() error {
	_, err := c.temporalUIURL()
	return err
}

// temporalUIURL is the address of Temporal's web UI. Nil means that there is none.
func (c *config) temporalUIURL() (*url.URL, error) {
	if c.temporalUI == "" {
		return nil, nil
	}
	address, err := url.Parse(c.temporalUI)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Host == "" || address.User != nil || address.RawQuery != "" {
		return nil, fmt.Errorf("--%s: %q is not an address such as https://temporal.example.com", flagTemporalUI, c.temporalUI)
	}
	return address, nil
}
