//! The XML of responses: what it consists of, and that every element of it is in S3's model.

use super::*;

/// Replaces what differs from one run to the next.
fn normalised(mut text: String) -> String {
    for name in ["UploadId", "LastModified", "Initiated", "CreationDate", "RequestId", "HostId", "NextUploadIdMarker"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let mut done = String::new();
        while let Some((before, rest)) = text.split_once(&open) {
            let (_, after) = rest.split_once(&close).unwrap();
            done += &[before, &open, "…", &close].concat();
            text = after.to_owned();
        }
        text = done + &text;
    }
    text.replace("><", ">\n<")
}

/// Finds elements that botocore's model of S3 does not have, and values of another type.
const CHECK: &str = r"
import json, re, sys
import xml.etree.ElementTree as ElementTree
from botocore.loaders import Loader
from botocore.model import ServiceModel

model = ServiceModel(Loader().load_service_model('s3', 'service-2'))

def tag(name, shape):
    if shape.type_name == 'list' and shape.serialization.get('flattened') and 'name' in shape.member.serialization:
        return shape.member.serialization['name']
    return shape.serialization.get('name', name)

def check(shape, element, path):
    path += '/' + element.tag.split('}')[-1]
    if shape.type_name == 'structure':
        members = {tag(name, member): member for name, member in shape.members.items() if 'location' not in member.serialization}
        for child in element:
            name = child.tag.split('}')[-1]
            assert name in members, f'{path}/{name} is not one of {sorted(members)}'
            member = members[name]
            flattened = member.type_name == 'list' and member.serialization.get('flattened')
            check(member.member if flattened else member, child, path)
    elif shape.type_name == 'list':
        for child in element:
            assert child.tag.split('}')[-1] == shape.member.serialization.get('name', 'member'), path
            check(shape.member, child, path)
    else:
        text = element.text or ''
        forms = {'integer': r'\d+', 'long': r'\d+', 'boolean': 'true|false', 'timestamp': r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z'}
        assert re.fullmatch(forms.get(shape.type_name, '.*'), text), f'{path} is {text!r}'
        assert not shape.metadata.get('enum') or text in shape.metadata['enum'], f'{path} is {text!r}'

for operation, text in DOCUMENTS:
    output = model.operation_model(operation).output_shape
    payload = output.serialization.get('payload')
    check(output.members[payload] if payload else output, ElementTree.fromstring(text), operation)
print(len(DOCUMENTS))
";

#[tokio::test]
async fn responses_have_the_shapes_of_s3s_model() {
    let emulator = start();
    let url = emulator.url();
    let text = async |method: Method, path: &str, body: String| {
        let sent = request(url, method, path).body(body).send().await.unwrap();
        sent.text().await.unwrap()
    };
    let get = async |path: &str| text(Method::GET, path, String::new()).await;
    let tagged = request(url, Method::PUT, "/orders/a b").header("x-amz-tagging", "k=v").body("1");
    tagged.send().await.unwrap().error_for_status().unwrap();
    put(url, "/orders/dir/c", "2").await.error_for_status().unwrap();
    let started = text(Method::POST, "/orders/large?uploads", String::new()).await;
    let id = multipart::create(url, "/orders/large").await;
    let part = multipart::upload(url, "/orders/large", &id, 1, Bytes::from_static(b"3")).await;
    let copy = async |path: &str| {
        let sent = request(url, Method::PUT, path).header("x-amz-copy-source", "orders/dir/c").send().await.unwrap();
        sent.text().await.unwrap()
    };
    let copied_part = copy(&format!("/orders/large?partNumber=2&uploadId={id}")).await;
    let copied = copy("/orders/copy").await;
    let rules = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>x</Prefix></Filter>\
        <Expiration><Days>1</Days></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation>\
        </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";
    assert_eq!(text(Method::PUT, "/orders?lifecycle", rules.to_owned()).await, "");
    let listed =
        get("/orders?list-type=2&delimiter=%2F&max-keys=2&encoding-type=url&start-after=A&fetch-owner=true").await;
    let parts = get(&format!("/orders/large?uploadId={id}&max-parts=1")).await;
    let uploads = get("/orders?uploads&max-uploads=1&prefix=l").await;
    let completed = multipart::complete(url, "/orders/large", &id, &[(1, &part)]).await.text().await.unwrap();
    let doomed = "<Delete><Object><Key>copy</Key></Object></Delete>".to_owned();
    let documents = json!([
        ("ListBuckets", get("/").await),
        ("ListObjectsV2", listed),
        ("CreateMultipartUpload", started),
        ("ListParts", parts),
        ("ListMultipartUploads", uploads),
        ("UploadPartCopy", copied_part),
        ("CopyObject", copied),
        ("CompleteMultipartUpload", completed),
        ("DeleteObjects", text(Method::POST, "/orders?delete", doomed).await),
        ("GetObjectTagging", get("/orders/a%20b?tagging").await),
        ("GetBucketLifecycleConfiguration", get("/orders?lifecycle").await),
    ]);
    assert_eq!(python(url, &format!("DOCUMENTS = {documents}\n{CHECK}")).await.trim(), "11");

    let refused = json!(["an error", multipart::complete(url, "/orders/x", &id, &[]).await.text().await.unwrap()]);
    let all = documents.as_array().unwrap().iter().chain([&refused]).map(|document| {
        let [name, text] = [0, 1].map(|place| document[place].as_str().unwrap());
        let (_, text) = text.split_once('\n').expect("the prolog is a line");
        format!("{name}:\n{}\n", normalised(text.replace(url, "http://ADDRESS")))
    });
    insta::assert_snapshot!(all.collect::<Vec<_>>().join("\n"));
}
