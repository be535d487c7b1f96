package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
)

const (
	tasksPath    = "/api/v1/tasks"
	defaultLimit = 100
	maxLimit     = 500
)

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

func (s *Server) listTasks(c *fiber.Ctx) error {
	limit, err := limitOf(c)
	if err != nil {
		return err
	}
	tasks, err := s.cfg.Tasks.List(c.UserContext(), limit)
	if err != nil {
		return err
	}
	answer := make([]taskJSON, len(tasks))
	for i, t := range tasks {
		answer[i] = toJSON(t)
	}
	return c.JSON(answer)
}

func (s *Server) createTask(c *fiber.Ctx) error {
	var title string
	var completed bool
	if err := readObject(c, member{task.FieldTitle, &title, true}, member{task.FieldCompleted, &completed, false}); err != nil {
		return err
	}
	made, err := s.cfg.Tasks.Create(c.UserContext(), task.Draft{Title: title, Completed: completed})
	if err != nil {
		return err
	}
	c.Location(tasksPath + "/" + made.ID.String())
	return c.Status(http.StatusCreated).JSON(toJSON(made))
}

func (s *Server) getTask(c *fiber.Ctx) error {
	id, err := task.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	found, err := s.cfg.Tasks.Get(c.UserContext(), id)
	if err != nil {
		return err
	}
	return c.JSON(toJSON(found))
}

func (s *Server) replaceTask(c *fiber.Ctx) error {
	id, err := task.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	var draft task.Draft
	if err := readObject(c, member{task.FieldTitle, &draft.Title, true}, member{task.FieldCompleted, &draft.Completed, true}); err != nil {
		return err
	}
	replaced, err := s.cfg.Tasks.Replace(c.UserContext(), id, draft)
	if err != nil {
		return err
	}
	return c.JSON(toJSON(replaced))
}

func (s *Server) deleteTask(c *fiber.Ctx) error {
	id, err := task.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	if err := s.cfg.Tasks.Delete(c.UserContext(), id); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func limitOf(c *fiber.Ctx) (int, error) {
	if !c.Context().QueryArgs().Has("limit") {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(c.Query("limit"))
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, task.Invalid("limit", "must be a whole number from 1 to "+strconv.Itoa(maxLimit))
	}
	return limit, nil
}
