package httpapi

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// systemOperations are for platforms and people rather than for programs.
func systemOperations() []operation {
	return []operation{
		serves(operation{
			method: http.MethodGet, path: alivePath, id: "alive", status: http.StatusOK, media: fiber.MIMETextPlainCharsetUTF8,
			summary: "Say that the process serves, without asking the database",
		}, (*Server).alive),
		serves(operation{
			method: http.MethodGet, path: "/readyz", id: "ready", status: http.StatusOK, media: fiber.MIMETextPlainCharsetUTF8,
			summary: "Say whether tasks can be served now, after asking the database", problems: []int{http.StatusServiceUnavailable},
		}, (*Server).ready),
		serves(operation{
			method: http.MethodGet, path: "/version", id: "version", status: http.StatusOK,
			summary: "Say what is running", problems: []int{http.StatusNotAcceptable},
		}, (*Server).version),
		serves(operation{
			method: http.MethodGet, path: "/openapi.json", id: "document", status: http.StatusOK,
			summary: "Give this document", problems: []int{http.StatusNotAcceptable},
		}, (*Server).openAPI),
		serves(operation{
			method: http.MethodGet, path: "/docs", id: "docs", status: http.StatusOK, media: fiber.MIMETextHTMLCharsetUTF8,
			summary: "Give a page to read this document and to try it",
		}, (*Server).docs),
	}
}

// alive is the platform's health check. It leaves the database alone, which would
// otherwise never sleep, and whose failure no new instance would mend.
func (s *Server) alive(*fiber.Ctx, nothing) (text, error) { return "OK", nil }

func (s *Server) ready(c *fiber.Ctx, _ nothing) (text, error) {
	return "OK", s.cfg.Ready(c.UserContext())
}

func (s *Server) version(*fiber.Ctx, nothing) (Build, error) { return s.cfg.Build, nil }

func (s *Server) openAPI(*fiber.Ctx, nothing) (json.RawMessage, error) { return s.document() }

// docsPage needs nothing from elsewhere.
//
//go:embed docs.html
var docsPage text

// docsPolicy lets the page do what it needs: its own script and style, and this API.
const docsPolicy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (s *Server) docs(c *fiber.Ctx, _ nothing) (text, error) {
	c.Set(fiber.HeaderContentSecurityPolicy, docsPolicy)
	return docsPage, nil
}
