// Package apiclient reads checks, their runs and evidence from the REST API of Khronicle. Its types and requests are
// generated from api/openapi.yaml. Beside these, Decode reads an answer or its problem, Checks and Runs go through all pages,
// and Changes follows what changes.
//
//	client, err := apiclient.NewClient("http://kuberhealthy.kuberhealthy/api/v1")
//	…
//	for check, err := range client.Checks(ctx, apiclient.ListChecksParams{}) {
//		…
//	}
package apiclient
