"""What a client prefers (RFC 7240), and that it is told what was done."""
import unittest

from harness import Case


class Prefer(Case):
    def ask(self, items, prefer, accept=None, status=207, **envelope):
        headers = {"Prefer": prefer}
        if accept is not None:
            headers["Accept"] = accept
        answer = self.sheaf.batch(items, headers=headers, **envelope)
        self.assertEqual(answer.status, status)
        return answer

    def test_minimal_leaves_bodies_of_successes_out(self):
        answer = self.ask(["/o/text", "/nowhere"], "return=minimal")
        self.assertEqual(answer.headers["preference-applied"], "return=minimal")
        good, bad = answer.json["responses"]
        self.assertNotIn("body", good)
        self.assertEqual(bad["body"]["status"], 404)

    def test_minimal_holds_for_lines_and_xml(self):
        self.assertNotIn(b'"body"', self.ask(["/o/text"], "return=minimal", accept="application/x-ndjson").body)
        self.assertNotIn(b"S:body", self.ask(["/o/text"], "return=minimal", accept="application/xml").body)

    def test_nothing_is_applied_where_nothing_is_understood(self):
        answer = self.ask(["/o/text"], "respond-async, nonsense=1")
        self.assertNotIn("preference-applied", answer.headers)
        self.assertIn("body", answer.json["responses"][0])

    def test_continue_on_error_may_be_refused(self):
        items = ["/nowhere", "/o/text"]
        for name in ("continue-on-error", "odata.continue-on-error"):
            answer = self.ask(items, name + "=false", parallel=1)
            self.assertEqual(answer.headers["preference-applied"], name + "=false")
            self.assertEqual([result["status"] for result in answer.json["responses"]], [404, 424])
            answer = self.ask(items, name)
            self.assertEqual(answer.headers["preference-applied"], name)
            self.assertEqual([result["status"] for result in answer.json["responses"]], [404, 200])

    def test_the_envelope_wins_and_the_client_is_told(self):
        answer = self.ask(["/nowhere", "/o/text"], "continue-on-error=false, wait=20", onError="continue")
        self.assertEqual(answer.headers["preference-applied"], "wait=20")
        self.assertEqual([result["status"] for result in answer.json["responses"]], [404, 200])

    def test_wait_caps_the_batch(self):
        answer = self.ask(["/o/delay/20000", "/o/text"], "wait=1")
        self.assertEqual(answer.headers["preference-applied"], "wait=1")
        self.assertEqual([result["status"] for result in answer.json["responses"]], [504, 200])

    def test_lenient_handling_ignores_unknown_members(self):
        items = [{"url": "/o/text", "colour": "red"}]
        answer = self.ask(items, "handling=lenient", shape="round")
        self.assertEqual(answer.headers["preference-applied"], "handling=lenient")
        self.assertEqual(answer.json["responses"][0]["status"], 200)
        self.ask(items, "handling=strict", status=400)
        self.ask(items, "wait=5", status=400)

    def test_lenient_handling_ignores_unknown_attributes(self):
        body = '<batch xmlns="urn:sheaf:batch" shape="round"><request url="/o/text" colour="red"/></batch>'
        for prefer, status in (("handling=lenient", 207), ("handling=strict", 400)):
            answer = self.sheaf.post(body, {"Content-Type": "application/xml", "Prefer": prefer})
            self.assertEqual(answer.status, status)

    def test_items_do_not_inherit_it(self):
        answer = self.ask(["/o/echo"], "wait=5")
        self.assertNotIn("wait=5", str(answer.json["responses"][0].get("body")))


if __name__ == "__main__":
    unittest.main()
