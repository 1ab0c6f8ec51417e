use std::collections::BTreeSet;

use super::*;

/// What is quoted behind `before` in a text.
fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

fn is_script(file: &File) -> bool {
    file.content_type().starts_with("text/javascript")
}

async fn body(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_file_of_the_folder_is_part_of_the_program() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/page");
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "tests.rs")
        .collect();
    let known: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
    assert_eq!(there, known);
}

#[test]
fn what_the_page_loads_is_there_and_its_own() {
    for file in FILES {
        let mut names = quoted(file.text, "from \"./");
        for attribute in ["src=\"", "href=\""] {
            for address in quoted(file.text, attribute).into_iter().filter(|a| *a != "#main") {
                let name = address.strip_prefix("/page/");
                names.push(name.unwrap_or_else(|| panic!("{} loads {address}", file.name)));
            }
        }
        for name in names {
            assert!(FILES.iter().any(|file| file.name == name), "{} needs {name}", file.name);
        }
        // The one address that is a name and no place.
        let text = file.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{}", file.name);
    }
}

#[test]
fn nothing_in_the_page_is_made_of_text_that_could_be_markup_or_code() {
    for file in FILES {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!file.text.contains(way), "{} uses {way}", file.name);
        }
    }
    let page = FILES[0].text;
    for inline in ["<style", " style=", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "the policy forbids {inline}");
    }
    for script in page.split("<script").skip(1) {
        assert!(script.contains("src=\"/page/") && script.contains("></script>"), "{script}");
    }
}

#[test]
fn each_script_says_its_role_and_stays_short() {
    for file in FILES.iter().filter(|file| is_script(file)) {
        assert!(file.text.starts_with("// "), "{} does not say its role", file.name);
        assert!(file.text.lines().count() < 350, "{} is long", file.name);
    }
}

#[test]
fn every_element_that_a_script_asks_for_is_in_the_page() {
    let page = FILES[0].text;
    for file in FILES.iter().filter(|file| is_script(file)) {
        for id in quoted(file.text, "byId(\"") {
            assert!(page.contains(&format!(" id=\"{id}\"")), "{} asks for #{id}", file.name);
        }
    }
}

#[tokio::test]
async fn the_page_comes_with_a_policy_and_its_kind() {
    let response = answer("index.html", &HeaderMap::new());
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(body(response).await.starts_with("<!doctype html>"));
    let script = answer("app.js", &HeaderMap::new());
    assert_eq!(script.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let tag = answer("app.js", &HeaderMap::new()).headers()[ETAG].clone();
    let known = HeaderMap::from_iter([(IF_NONE_MATCH, tag.clone())]);
    let again = answer("app.js", &known);
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[ETAG], tag);
    assert_eq!(body(again).await, "");
    // Another file is another matter.
    assert_eq!(answer("api.js", &known).status(), StatusCode::OK);
}

#[test]
fn what_is_no_file_of_the_page_is_not_found() {
    for name in ["", "tests.rs", "../page.rs", "app.js/"] {
        assert_eq!(answer(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
    }
}
