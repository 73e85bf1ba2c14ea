// Package rest serves the REST API that api/openapi.yaml describes. It translates between HTTP and package view. It reads,
// and changes nothing.
//
// Its readers are bounded in number and time, and share no limit with the reports of checks. Each parameter is held against
// the description before an operation sees it. So an error names the parameter and what would be right.
package rest
