"""Batches as XML."""
import json
import unittest
import xml.etree.ElementTree as ElementTree

from harness import Case

XML = {"Content-Type": "application/xml"}


def batch(*requests, attributes=""):
    return f'<batch xmlns="urn:sheaf:batch" {attributes}>{"".join(requests)}</batch>'


def echo(body, attributes=""):
    return f'<request id="e" method="POST" url="/o/echo" {attributes}>{body}</request>'


class XmlBatches(Case):
    def sent(self, document):
        """What the backend saw of the request "e"."""
        answer = self.sheaf.post(document, XML)
        self.assertEqual(answer.status, 207, answer.body)
        self.assertEqual(answer.results["e"]["status"], 200, answer.results["e"])
        seen = answer.results["e"]["body"]
        return dict(map(tuple, seen["headers"])).get("content-type"), seen["body"]

    def test_a_batch_in_xml_is_answered_in_xml_where_accept_says_so(self):
        document = batch('<request id="a" url="/o/text"/>',
                         '<request id="b" url="/nowhere"/>',
                         '<request id="c" url="/o/text"><dependsOn id="b" status="404"/></request>')
        for kind in ("application/xml", "text/xml; charset=utf-8"):
            answer = self.sheaf.post(document, {"Content-Type": kind, "Accept": "application/xml"})
            self.assertEqual((answer.status, answer.headers["content-type"].split(";")[0]), (207, "application/xml"))
            statuses = [node.text for node in ElementTree.fromstring(answer.body).iter("{DAV:}status")]
            self.assertEqual(statuses, ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"])

    def test_bodies_arrive_as_they_are_meant(self):
        self.assertEqual(self.sent(batch(echo('<body type="text/plain">a &lt; <![CDATA[<b>]]></body>'))), ("text/plain", "a < <b>"))
        self.assertEqual(self.sent(batch(echo('<body>{"n":12345678901234567890}</body>'))),
                         ("application/json", '{"n":12345678901234567890}'))
        self.assertEqual(self.sent(batch(echo('<body type="text/csv">YSxi\n</body>', 'encoding="base64"'))), ("text/csv", "a,b"))

    def test_an_element_as_a_body_arrives_byte_for_byte_and_stands_alone(self):
        element = "<p:order a = '1'><!-- c --><q/></p:order >"
        kind, body = self.sent(batch(echo(f"<body>\n {element}\n</body>"), attributes='xmlns:p="urn:shop"'))
        self.assertEqual((kind, body), ("application/xml", element.replace("<p:order", '<p:order xmlns:p="urn:shop"', 1)))
        self.assertEqual(ElementTree.fromstring(body).tag, "{urn:shop}order")

    def test_an_item_runs_for_each_element_and_takes_its_values(self):
        answer = self.sheaf.post(batch(
            '<request id="list" method="POST" url="/o/echo"><header name="x-a">1</header><body>0</body></request>',
            '<request id="x" method="POST" url="/o/echo?n=${each/0}" forEach="list.body/headers">'
            '<body>{"name":{"$result":"each/0"},"of":{"$result":"list.body/method"}}</body><dependsOn id="list"/></request>'), XML)
        first = answer.results["x[0]"]["body"]
        name = answer.results["list"]["body"]["headers"][0][0]
        self.assertEqual((first["target"], json.loads(first["body"])), (f"/echo?n={name}", {"name": name, "of": "POST"}))

    def test_a_doctype_refuses_the_batch_and_nothing_is_expanded(self):
        bomb = '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + "".join(
            f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi")) + "]>\n"
        for doctype in (bomb, '<!DOCTYPE b SYSTEM "file:///etc/passwd">'):
            answer = self.sheaf.post(doctype + batch(echo("<body>&i;</body>")), XML)
            self.assertEqual((answer.status, answer.json["type"]), (400, "urn:sheaf:problem:syntax"))
            self.assertEqual(answer.json["line"], 1)

    def test_a_fault_names_line_and_column(self):
        answer = self.sheaf.post(batch("\n", '<request url="/o/text"/>', "\n  ", '<request uri="/o/text"/>'), XML)
        self.assertEqual(answer.status, 400)
        self.assertEqual([answer.json[name] for name in ("line", "column")], [3, 3])
        self.assertIn("uri", answer.json["detail"])
        self.assertEqual(json.loads(answer.body)["status"], 400)


if __name__ == "__main__":
    unittest.main()
