package httpapi

import (
	"cmp"
	"crypto/sha256"
	"net/http"
	"time"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

const (
	tasksPath    = "/api/v1/tasks"
	taskPath     = tasksPath + "/{id}"
	defaultLimit = 100
	maxLimit     = 500
	paramAfter   = "after"
)

// taskOperations is the API.
func taskOperations() []operation {
	return []operation{
		serves(operation{method: http.MethodGet, path: tasksPath, status: http.StatusOK}, (*Server).listTasks),
		serves(operation{method: http.MethodPost, path: tasksPath, status: http.StatusCreated}, (*Server).createTask),
		serves(operation{method: http.MethodGet, path: taskPath, status: http.StatusOK}, (*Server).getTask),
		serves(operation{method: http.MethodPut, path: taskPath, status: http.StatusOK}, (*Server).replaceTask),
		serves(operation{method: http.MethodPatch, path: taskPath, status: http.StatusOK}, (*Server).patchTask),
		serves(operation{method: http.MethodDelete, path: taskPath, status: http.StatusNoContent}, (*Server).deleteTask),
	}
}

// taskJSON is a task as clients see it.
type taskJSON struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Completed bool      `json:"completed"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func toJSON(t task.Task) taskJSON {
	return taskJSON{t.ID.String(), t.Title, t.Completed, t.CreatedAt, t.UpdatedAt}
}

type listInput struct {
	Limit     pageSize `query:"limit"`
	After     cursor   `query:"after"`
	Completed choice   `query:"completed"`
}

func (s *Server) listTasks(c *fiber.Ctx, in listInput) ([]taskJSON, error) {
	limit := cmp.Or(int(in.Limit), defaultLimit)
	// One more than the page holds tells whether there is a next one.
	tasks, err := s.cfg.Tasks.List(c.UserContext(), task.Filter{Limit: limit + 1, After: in.After.after, Completed: in.Completed.made})
	if err != nil {
		return nil, err
	}
	if len(tasks) > limit {
		tasks = tasks[:limit]
		c.Set(fiber.HeaderLink, nextPage(c, tasks[limit-1].ID))
	}
	answer := make([]taskJSON, len(tasks))
	for i, t := range tasks {
		answer[i] = toJSON(t)
	}
	return answer, nil
}

// nextPage links to the same list behind the last task, whatever else its query says.
func nextPage(c *fiber.Ctx, last task.ID) string {
	query := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(query)
	c.Context().QueryArgs().CopyTo(query)
	query.Set(paramAfter, cursorAfter(last))
	return "<" + tasksPath + "?" + query.String() + `>; rel="next"`
}

type createInput struct {
	Key  idempotencyKey `header:"Idempotency-Key"`
	Body newTask        `body:"application/json"`
}

// newTask is what a client says about a task that it makes.
type newTask struct {
	Title     string `json:"title"`
	Completed bool   `json:"completed,omitempty"`
}

func (s *Server) createTask(c *fiber.Ctx, in createInput) (taskJSON, error) {
	once := task.Once{Key: string(in.Key), Fingerprint: sha256.Sum256(c.BodyRaw())}
	made, err := s.cfg.Tasks.Create(c.UserContext(), task.Draft(in.Body), once)
	if err != nil {
		return taskJSON{}, err
	}
	c.Location(tasksPath + "/" + made.ID.String())
	setTag(c, made)
	return toJSON(made), nil
}

type getInput struct {
	ID          taskID     `path:"id"`
	IfNoneMatch entityTags `header:"If-None-Match"`
}

func (s *Server) getTask(c *fiber.Ctx, in getInput) (taskJSON, error) {
	found, err := s.cfg.Tasks.Get(c.UserContext(), in.ID.ID)
	if err != nil {
		return taskJSON{}, err
	}
	setTag(c, found)
	c.Set(fiber.HeaderCacheControl, "no-cache") // keep it, and ask with its tag whether it is still so
	if in.IfNoneMatch.include(found.Version()) {
		c.Status(http.StatusNotModified)
	}
	return toJSON(found), nil
}

type replaceInput struct {
	ID      taskID     `path:"id"`
	IfMatch entityTags `header:"If-Match"`
	Body    allTask    `body:"application/json"`
}

// allTask is everything that a client can say about a task.
type allTask struct {
	Title     string `json:"title"`
	Completed bool   `json:"completed"`
}

func (s *Server) replaceTask(c *fiber.Ctx, in replaceInput) (taskJSON, error) {
	return s.update(c, in.ID, task.Patch{Title: &in.Body.Title, Completed: &in.Body.Completed}, in.IfMatch)
}

type patchInput struct {
	ID      taskID     `path:"id"`
	IfMatch entityTags `header:"If-Match"`
	Body    taskPatch  `body:"application/merge-patch+json,application/json"`
}

// taskPatch is a JSON merge patch, RFC 7396.
type taskPatch struct {
	Title     *string `json:"title,omitempty"`
	Completed *bool   `json:"completed,omitempty"`
}

func (s *Server) patchTask(c *fiber.Ctx, in patchInput) (taskJSON, error) {
	return s.update(c, in.ID, task.Patch(in.Body), in.IfMatch)
}

func (s *Server) update(c *fiber.Ctx, id taskID, p task.Patch, ifMatch entityTags) (taskJSON, error) {
	updated, err := s.cfg.Tasks.Update(c.UserContext(), id.ID, p, ifMatch.versions())
	if err != nil {
		return taskJSON{}, err
	}
	setTag(c, updated)
	return toJSON(updated), nil
}

type deleteInput struct {
	ID      taskID     `path:"id"`
	IfMatch entityTags `header:"If-Match"`
}

func (s *Server) deleteTask(c *fiber.Ctx, in deleteInput) (nothing, error) {
	return nothing{}, s.cfg.Tasks.Delete(c.UserContext(), in.ID.ID, in.IfMatch.versions())
}

func setTag(c *fiber.Ctx, t task.Task) { c.Set(fiber.HeaderETag, `"`+t.Version().String()+`"`) }
