// The chain from targets to ranked solutions, as a whole and link by link; and ranking alone.
#include <memory>
#include <optional>

#include "base/dispatch.hpp"
#include "bindings/support/nouns.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "solve/chain/ordering.hpp"
#include "solve/chain/pipeline.hpp"

namespace fastinv {

namespace {

std::unique_ptr<Pipeline> make_pipeline(const std::shared_ptr<Problem>& problem,
                                        const std::shared_ptr<Anchors>& anchors,
                                        const std::optional<py::dict>& twin, py::handle options,
                                        const std::string& isa) {
  const std::int64_t p = problem->n_inputs(), q = problem->n_outputs();
  if (anchors->n_inputs() != p || anchors->n_outputs() != q) {
    throw py::value_error("anchors must have the inputs and outputs of the problem");
  }
  std::optional<TwinModel> model;
  if (twin) {
    const py::dict& d = *twin;
    model.emplace(TwinModel{network_of(d, 2 * q + p, p, isa), entry(d, "dy_scale", q),
                            entry(d, "y_mean", q), entry(d, "y_scale", q), entry(d, "x_mean", p),
                            entry(d, "x_scale", p), entry(d, "dx_scale", p),
                            d["reach"].cast<double>()});
  }
  const PipelineOptions own_options = options_of(options);
  const LongCall call;  // indexes the anchors
  return std::make_unique<Pipeline>(problem, anchors, std::move(model), own_options);
}

void require_function(const Pipeline& self) {
  if (!self.has_function()) throw py::value_error("this pipeline's function runs in Python only");
}

void require_counts(const Pipeline& self, std::int64_t n_candidates, std::int64_t k) {
  const auto require = [](const char* name, std::int64_t value, const char* most_name,
                          std::int64_t most) {
    if (value < 1) {
      throw py::value_error(std::string(name) + " must be at least 1, got " +
                            std::to_string(value));
    }
    if (value > most) {
      throw py::value_error(std::string(name) + " must be at most " + most_name + " = " +
                            std::to_string(most) + ", got " + std::to_string(value));
    }
  };
  require("n_candidates", n_candidates, "the number of anchors", self.anchors().size());
  require("k", k, "n_candidates", n_candidates);
}

// Fills arrays that the caller provides.
void solve_into(const Pipeline& self, py::handle given, std::int64_t n_candidates,
                const py::array& x, const py::array& residual, const py::array& anchor,
                const py::array& status, int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  detail::require(residual.ndim() == 2, "residual", "2-dimensional");
  const std::int64_t k = residual.shape(1);
  require_function(self);
  require_counts(self, n_candidates, k);
  const Ranked out = ranked_of(x, residual, anchor, status, goal.view.n, k, self.n_inputs());
  checked_threads(n_threads);
  const LongCall call(given);
  out.clear(goal.view.n, self.n_inputs());  // an interruption leaves the rows that are finished
  self.solve(goal.view, n_candidates, out, n_threads);
}

// Makes the arrays (x, residual, anchor, status).
py::tuple solve(const Pipeline& self, py::handle given, std::int64_t n_candidates, std::int64_t k,
                int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  require_function(self);
  require_counts(self, n_candidates, k);
  checked_threads(n_threads);
  const std::int64_t n = goal.view.n;
  const py::array x = new_array<double>({n, k, self.n_inputs()});
  const py::array residual = new_array<double>({n, k});
  const py::array anchor = new_array<std::int64_t>({n, k});
  const py::array status = new_array<std::int8_t>({n, k});
  const Ranked out{k, detail::pointer<double>(x), detail::pointer<double>(residual),
                   detail::pointer<std::int64_t>(anchor), detail::pointer<std::int8_t>(status)};
  {
    const LongCall call(given);
    self.solve(goal.view, n_candidates, out, n_threads);
  }
  return py::make_tuple(x, residual, anchor, status);
}

enum class Link { propose, correct, evaluate, polish, verify };

template <Link link>
void run_link(const Pipeline& self, py::handle given, py::handle candidates, int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  if (link >= Link::evaluate) require_function(self);
  if (link != Link::propose) {  // the only link that does not read the anchors' indices
    CandidateArrays(candidates, goal.view.n, self.n_inputs(), self.n_outputs(),
                    self.anchors().size(), false);
  }
  const CandidateArrays arrays(candidates, goal.view.n, self.n_inputs(), self.n_outputs(),
                               self.anchors().size(), true);
  if (link == Link::propose) require_counts(self, arrays.view.n_per_target, 1);
  checked_threads(n_threads);
  const LongCall call;
  switch (link) {
    case Link::propose:
      return self.propose(goal.view, arrays.view, n_threads);
    case Link::correct:
      return self.correct(goal.view, arrays.view, n_threads);
    case Link::evaluate:
      return self.evaluate(arrays.view, n_threads);
    case Link::polish:
      return self.polish(goal.view, arrays.view, n_threads);
    case Link::verify:
      return self.verify(goal.view, arrays.view, n_threads);
  }
}

void rank(const Pipeline& self, py::handle given, py::handle candidates, const py::array& x,
          const py::array& residual, const py::array& anchor, const py::array& status) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  const CandidateArrays arrays(candidates, goal.view.n, self.n_inputs(), self.n_outputs(),
                               self.anchors().size(), false);
  detail::require(residual.ndim() == 2, "residual", "2-dimensional");
  const std::int64_t k = residual.shape(1);
  if (k < 1 || k > arrays.view.n_per_target) {
    throw py::value_error("k must be from 1 to the number of candidates");
  }
  const Ranked out = ranked_of(x, residual, anchor, status, goal.view.n, k, self.n_inputs());
  const LongCall call;
  self.rank(goal.view, arrays.view, out);
}

void order(const py::array& residuals, const py::array& out) {
  const auto r = in_matrix<double>(residuals, "residuals");
  const auto places = out_matrix<std::int64_t>(out, "order", r.rows, r.cols);
  const LongCall call;
  rank_rows(r.data, r.rows, r.cols, places.data);
}

}  // namespace

void register_pipeline(py::module_& m) {
  py::class_<Pipeline> pipeline(m, "Pipeline");
  pipeline
      .def(py::init(&make_pipeline), py::arg("problem"), py::arg("anchors"), py::arg("twin"),
           py::arg("options"), py::arg("isa"))
      .def("solve", &solve, py::arg("goal"), py::arg("n_candidates"), py::arg("k"),
           py::arg("n_threads"))
      .def("solve_into", &solve_into, py::arg("goal"), py::arg("n_candidates"), py::arg("x"),
           py::arg("residual"), py::arg("anchor"), py::arg("status"), py::arg("n_threads"))
      .def("rank", &rank, py::arg("goal"), py::arg("candidates"), py::arg("x"), py::arg("residual"),
           py::arg("anchor"), py::arg("status"));
  const auto def_link = [&pipeline](const char* name, auto link) {
    pipeline.def(name, link, py::arg("goal"), py::arg("candidates"), py::arg("n_threads"));
  };
  def_link("propose", &run_link<Link::propose>);
  def_link("correct", &run_link<Link::correct>);
  def_link("evaluate", &run_link<Link::evaluate>);
  def_link("polish", &run_link<Link::polish>);
  def_link("verify", &run_link<Link::verify>);
  m.def("rank", &order, py::arg("residuals"), py::arg("order"));
}

}  // namespace fastinv
